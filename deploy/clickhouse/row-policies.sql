-- Tenants on one server: whoever has the role `megaping_reader` sees the rows of those tenants alone that the table
-- `tenant_readers` gives to them. Others see what they saw before. `megaping schema apply --row-policies` runs this, with
-- an account that manages access (access_management = 1): statements with {table} once for each table of the migrations.
-- Then, for each reader:
--     CREATE USER alice IDENTIFIED BY '...' DEFAULT ROLE megaping_reader;
--     GRANT megaping_reader TO alice;
--     INSERT INTO tenant_readers VALUES ('alice', 'acme');

CREATE TABLE IF NOT EXISTS tenant_readers (reader String, tenant String) ENGINE = MergeTree ORDER BY (reader, tenant);

CREATE ROLE IF NOT EXISTS megaping_reader;

GRANT SELECT ON {target_database}.tenant_readers TO megaping_reader;

CREATE ROW POLICY IF NOT EXISTS megaping_reader ON {target_database}.tenant_readers
    USING reader = currentUser() TO megaping_reader;

GRANT SELECT ON {target_database}.{table} TO megaping_reader;

CREATE ROW POLICY IF NOT EXISTS megaping_reader ON {target_database}.{table}
    USING tenant IN (SELECT tenant FROM {target_database}.tenant_readers WHERE reader = currentUser()) TO megaping_reader;
