"""Other people's files become sources: archives, downloads, layouts."""
