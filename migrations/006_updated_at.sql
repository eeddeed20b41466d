-- transaction: yes
-- An update that sets updated_at itself keeps its value; any other gets the statement's time.
CREATE FUNCTION set_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.updated_at IS NOT DISTINCT FROM OLD.updated_at THEN
        NEW.updated_at := now();
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER memories_set_updated_at BEFORE UPDATE ON memories FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER memory_associations_set_updated_at BEFORE UPDATE ON memory_associations FOR EACH ROW EXECUTE FUNCTION set_updated_at();
