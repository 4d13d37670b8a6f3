"""The pages, one module each: `show` draws a page from the view that it is given."""
