"""From a record and its verdict to what people and programs read: pure, too."""
