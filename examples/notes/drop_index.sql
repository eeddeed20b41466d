DROP INDEX notes_author_id;
