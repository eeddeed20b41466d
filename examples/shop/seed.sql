INSERT INTO customers (id, name)
SELECT n, 'Customer ' || n FROM generate_series(1, 500) AS n;

INSERT INTO orders (customer_id, created_at, total)
SELECT 1 + n % 500, timestamptz '2026-01-01' + n * interval '1 minute', 5 + n % 100
FROM generate_series(1, coalesce(current_setting('harness.size', true), '20000')::integer) AS n;
