"""What crop does: choosing scenes and their companions, bringing their pixels, writing them as patches."""
