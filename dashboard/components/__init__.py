"""Grid images and charts, shared by the pages."""
