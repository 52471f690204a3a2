"""What a policy is worth: by playing it, and by what others were logged to do."""
