"""What makes students faster and changes nothing beyond rounding."""
