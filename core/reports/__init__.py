"""Results as people keep them: text, tables, figures, exports, one file to mail."""
