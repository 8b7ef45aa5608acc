"""What goes out again: trades and money for tax programs, gains by year, the worksheet of the French form 2086."""
