"""What each analysis measures of a trained net, and the table that it prints."""
