# What Python's PostgreSQL clients see and do. The first argument is the server's URL.
import asyncio
import sys

import asyncpg
import psycopg
import sqlalchemy as sa

url = sys.argv[1]


def show(label, value):
    print(label + ":", value)


def reflect(engine):
    i = sa.inspect(engine)
    show("schemas", sorted(i.get_schema_names()))
    show("default schema", i.default_schema_name)
    show("tables", sorted(i.get_table_names()))
    show("views", i.get_view_names())
    show("materialized views", i.get_materialized_view_names())
    show("foreign tables", sorted(i.get_foreign_table_names()))
    show("tables of shop", i.get_table_names(schema="shop"))
    for t in ["customers", "orders", "clicks", "keyless", "totals", "large"]:
        print("##", t)
        for c in i.get_columns(t):
            show("column", (c["name"], repr(c["type"]), c["nullable"], c["default"], c["comment"]))
        show("primary key", i.get_pk_constraint(t))
        for f in i.get_foreign_keys(t):
            show("foreign key", (f["name"], f["constrained_columns"], f["referred_schema"], f["referred_table"], f["referred_columns"]))
        for x in i.get_indexes(t):
            show("index", (x["name"], x["column_names"], x["unique"], x.get("duplicates_constraint")))
        for x in i.get_unique_constraints(t):
            show("unique", (x["name"], x["column_names"]))
        for x in i.get_check_constraints(t):
            show("check", (x["name"], x["sqltext"]))
        show("comment", i.get_table_comment(t))
    show("definition", i.get_view_definition("large"))
    show("sequences", i.get_sequence_names())
    show("has", (i.has_table("customers"), i.has_table("nothing")))


def use(engine):
    m = sa.MetaData()
    m.reflect(engine)
    customers, orders = m.tables["customers"], m.tables["orders"]
    with engine.begin() as c:
        c.execute(sa.insert(customers), [{"id": i, "name": "n%d" % i, "tags": ["a", None]} for i in range(1, 4)])
        r = c.execute(sa.insert(orders).values(id=7, customer_id=1, note={"x": [1, 2]}).returning(orders.c.amount))
        show("returning", r.all())
        show("joined", c.execute(sa.select(orders.c.id, orders.c.note, customers.c.tags).join(customers)).all())
        show("in", c.execute(sa.select(sa.func.count()).where(customers.c.id.in_([1, 3, 9]))).scalar())
    try:
        with engine.begin() as c:
            c.execute(sa.insert(orders).values(id=7, customer_id=1))
    except sa.exc.IntegrityError as x:
        show("refused", (x.orig.sqlstate, x.orig.diag.constraint_name))
    with engine.connect() as c:
        c.execution_options(isolation_level="SERIALIZABLE")
        show("isolation", c.execute(sa.text("show transaction isolation level")).scalar())
        with c.begin_nested():
            c.execute(sa.update(orders).where(orders.c.id == 7).values(amount=orders.c.amount + 1))
        c.rollback()
        show("rolled back", c.execute(sa.select(orders.c.amount)).scalar())


def drive():
    with psycopg.connect(url) as c, c.cursor() as cur:
        with cur.copy("copy customers (id, name) from stdin") as cp:
            for i in range(10, 13):
                cp.write_row((i, "copied"))
        cur.executemany("insert into orders (id, customer_id, amount) values (%s, %s, %s)", [(i, 10, i) for i in range(20, 30)])
        show("copied", cur.execute("select count(*), min(id) from customers where name = 'copied'").fetchone())
        with c.cursor(name="srv") as srv:
            srv.execute("select id from orders where id >= 20 order by id")
            show("cursor", [srv.fetchone(), srv.fetchmany(3)])
        for _ in range(7):
            cur.execute("select amount from orders where id = %s", (20,))
        show("prepared", cur.fetchone())
        show("type", psycopg.types.TypeInfo.fetch(c, "jsonb"))
        show("binary", cur.execute("select %s::numeric, %s::timestamptz, %s::text[]", (1.5, "2020-01-02 03:04:05+00", ["x"]), binary=True).fetchone())


async def fly():
    c = await asyncpg.connect(url)
    await c.execute("create table numbers (id int primary key, v numeric, t timestamptz, u uuid, l int[], j jsonb)")
    await c.copy_records_to_table("numbers", records=[(1, None, None, None, [1, 2], '{"a": 1}')], columns=["id", "v", "t", "u", "l", "j"])
    await c.executemany("insert into numbers (id, v, l) values ($1, $2, $3)", [(i, i, [i]) for i in range(2, 5)])
    show("records", [tuple(r) for r in await c.fetch("select id, v, l, j from numbers where id = any($1) order by id", [1, 3])])
    async with c.transaction():
        show("cursor", [r["id"] async for r in c.cursor("select id from numbers order by id", prefetch=2)])
    st = await c.prepare("select id, v from numbers where id > $1")
    show("prepared", ([p.name for p in st.get_parameters()], [(a.name, a.type.name) for a in st.get_attributes()]))
    show("introspected", [t["name"] for t in (await c._introspect_types([25, 1009], 10))[0]] if hasattr(c, "_introspect_types") else None)
    try:
        await c.execute("insert into numbers (id) values (1)")
    except asyncpg.UniqueViolationError as x:
        show("refused", x.constraint_name)
    await c.reset()
    await c.close()


engine = sa.create_engine(url.replace("postgres://", "postgresql+psycopg://"))
reflect(engine)
use(engine)
drive()
asyncio.run(fly())
