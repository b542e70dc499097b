import java.sql.*;
import java.util.*;

/** What pgjdbc's DatabaseMetaData says of the server. The first argument is the JDBC URL. */
public class Metadata {
    static void print(String title, ResultSet rs, String... columns) throws SQLException {
        System.out.println("## " + title);
        while (rs.next()) {
            List<String> line = new ArrayList<>();
            for (String c : columns) line.add(String.valueOf(rs.getString(c)));
            System.out.println(String.join("|", line));
        }
        rs.close();
    }

    public static void main(String[] args) throws Exception {
        try (Connection c = DriverManager.getConnection(args[0], "miracledb", "")) {
            DatabaseMetaData m = c.getMetaData();
            System.out.println(m.getDatabaseProductName() + " " + m.getDatabaseMajorVersion());
            print("catalogs", m.getCatalogs(), "TABLE_CAT");
            print("schemas", m.getSchemas(), "TABLE_SCHEM");
            print("table types", m.getTableTypes(), "TABLE_TYPE");
            print("tables", m.getTables(null, "public", "%", null), "TABLE_NAME", "TABLE_TYPE", "REMARKS");
            print("tables and views", m.getTables(null, null, "%", new String[] {"TABLE", "VIEW"}), "TABLE_SCHEM", "TABLE_NAME", "TABLE_TYPE");
            for (String t : new String[] {"customers", "orders", "clicks", "totals", "large", "keyless"}) {
                print("columns of " + t, m.getColumns(null, "public", t, "%"), "COLUMN_NAME", "DATA_TYPE", "TYPE_NAME", "COLUMN_SIZE",
                    "DECIMAL_DIGITS", "NULLABLE", "COLUMN_DEF", "ORDINAL_POSITION", "IS_AUTOINCREMENT", "REMARKS");
                print("primary key of " + t, m.getPrimaryKeys(null, "public", t), "COLUMN_NAME", "KEY_SEQ", "PK_NAME");
                print("indexes of " + t, m.getIndexInfo(null, "public", t, false, true), "INDEX_NAME", "NON_UNIQUE", "ORDINAL_POSITION", "COLUMN_NAME", "ASC_OR_DESC");
                print("best row of " + t, m.getBestRowIdentifier(null, "public", t, DatabaseMetaData.bestRowSession, true), "COLUMN_NAME");
            }
            print("imported by orders", m.getImportedKeys(null, "public", "orders"), "PKTABLE_NAME", "PKCOLUMN_NAME", "FKCOLUMN_NAME", "KEY_SEQ", "FK_NAME", "PK_NAME");
            print("exported by customers", m.getExportedKeys(null, "public", "customers"), "FKTABLE_NAME", "FKCOLUMN_NAME");
            print("cross reference", m.getCrossReference(null, "public", "customers", null, "public", "orders"), "FK_NAME", "UPDATE_RULE", "DELETE_RULE");
            print("privileges", m.getTablePrivileges(null, "public", "customers"), "GRANTEE", "PRIVILEGE");
            print("column privileges", m.getColumnPrivileges(null, "public", "keyless", "%"), "COLUMN_NAME", "PRIVILEGE");
            print("functions", m.getFunctions(null, "pg_catalog", "lower"), "FUNCTION_NAME", "SPECIFIC_NAME");
            print("function columns", m.getFunctionColumns(null, "pg_catalog", "lower", "%"), "COLUMN_NAME", "TYPE_NAME");
            print("procedures", m.getProcedures(null, null, "%"), "PROCEDURE_NAME");
            print("user types", m.getUDTs(null, null, "%", null), "TYPE_NAME");
            print("client info", m.getClientInfoProperties(), "NAME");
            int types = 0;
            for (ResultSet rs = m.getTypeInfo(); rs.next();) types++;
            System.out.println("types: " + (types > 60));
            System.out.println("keywords: " + m.getSQLKeywords().contains("analyze") + ", name length " + m.getMaxTableNameLength() + ", index keys "
                + m.getMaxColumnsInIndex());
            use(c);
        }
    }

    static void use(Connection c) throws SQLException {
        try (PreparedStatement p = c.prepareStatement("INSERT INTO customers (id, name, tags) VALUES (?, ?, ?)")) {
            for (int i = 100; i < 110; i++) {
                p.setInt(1, i);
                p.setString(2, "n" + i);
                p.setArray(3, c.createArrayOf("text", new String[] {"x", null}));
                p.addBatch();
            }
            System.out.println("batch: " + p.executeBatch().length);
        }
        c.setAutoCommit(false);
        try (Statement s = c.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_UPDATABLE)) {
            ResultSet rs = s.executeQuery("SELECT id, name FROM customers WHERE id = 100");
            rs.next();
            rs.updateString("name", "changed");
            rs.updateRow();
            System.out.println("updated: " + rs.getString("name"));
        }
        c.commit();
        try (Statement s = c.createStatement()) {
            s.setFetchSize(3);
            int n = 0;
            for (ResultSet rs = s.executeQuery("SELECT id, name FROM customers WHERE id >= 100 ORDER BY id"); rs.next();) n++;
            System.out.println("fetched: " + n);
            Savepoint sp = c.setSavepoint();
            try {
                s.executeUpdate("INSERT INTO customers (id, name) VALUES (100, 'twice')");
            } catch (SQLException e) {
                System.out.println("refused: " + e.getSQLState());
                c.rollback(sp);
            }
            ResultSetMetaData md = s.executeQuery("SELECT id, name, email, tags FROM customers").getMetaData();
            for (int i = 1; i <= md.getColumnCount(); i++)
                System.out.println(md.getColumnName(i) + " " + md.getTableName(i) + " " + md.getColumnTypeName(i) + " " + md.isNullable(i) + " " + md.getPrecision(i));
        }
        c.commit();
        c.setAutoCommit(true);
        try (PreparedStatement p = c.prepareStatement("INSERT INTO orders (id, customer_id) VALUES (?, 100)", Statement.RETURN_GENERATED_KEYS)) {
            p.setLong(1, 1000);
            p.executeUpdate();
            ResultSet keys = p.getGeneratedKeys();
            keys.next();
            System.out.println("generated: " + keys.getLong("id") + " " + keys.getBigDecimal("amount"));
        }
    }
}
