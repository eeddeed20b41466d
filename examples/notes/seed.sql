INSERT INTO notes (author, title, text)
SELECT 'author ' || n % 100, 'note ' || n, repeat('a few words ', 20)
  FROM generate_series(1, coalesce(current_setting('harness.size', true), '10000')::integer) AS n;
