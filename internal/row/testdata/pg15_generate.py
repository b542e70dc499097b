#!/usr/bin/env python3
"""Writes pg15_text.jsonl and pg15_order.jsonl from a running PostgreSQL 15 (psql's environment says which).

Each line of pg15_text.jsonl is [type, input, output or null, sqlstate, message, binary hex]: what '<input>'::type gives.
Each line of pg15_order.jsonl is [type, [values in ORDER BY order]]; equal neighbours share one inner list."""
import csv, io, json, random, subprocess
random.seed(15)
R = random.Random(15)
cases = []
def add(t, *ss):
    for s in ss: cases.append((t, s))

add("bool", *"t f true FALSE yes no on off of o 1 0 2 tru truex y n".split(), " true ", "", "  ")
for t, b in (("int2", 15), ("int4", 31), ("int8", 63)):
    add(t, "0", "-0", "+5", " 12 ", "", " ", "-", "5.0", "0x10", "1e3", "1_000", "x", str(2**b), str(2**b-1), str(-2**b), str(-2**b-1), "99999999999999999999999", "007", "--1", "1 2", "\t7\n")
add("oid", "0", "4294967295", "4294967296", "-1", "x", " 5 ")
floats = ["0","-0","1","1.5","1e15","1e14","123456789012345","1234567890123456","0.0001","0.00001","1e-5","1e23","9.999999999999999e22","5e-324","1.7976931348623157e308","1e400","1e-400","-1e400","NaN","nan","Infinity","-inf","+Infinity","inf"," 1.5 ","","1.","  .5",".","1e","e5","1x","3.4028235e38","1.17549435e-38","1e-45","1e39","123456","1234567","999999.9","0.1","2.5e-5","9007199254740993","4.35","1e+2","1d"]
for t in ("float4", "float8"):
    add(t, *floats)
    for _ in range(150):
        add(t, repr(R.uniform(-1, 1) * 10 ** R.randint(-35, 35)))
    for _ in range(50):
        add(t, str(R.randint(-10**R.randint(1,20), 10**R.randint(1,20))))
nums = ["0","-0","0.0","1","1.50","-1.50",".5","5.","1e5","1e-5","1.5e3","1.5e-3","-1e30","1e-30","NaN","nan","-NaN","Infinity","-Infinity","inf","+inf"," 1 ","","x","1.2.3","1e","1e+","--1","+1","0x1","1_0","9223372036854775807","9223372036854775808","-9223372036854775808","-9223372036854775809","0.9223372036854775807","100.0000000000000000000000","0.0000000000000000000000","1e131071","1e131072","1e-16383","1e-16384","1e999999999999","12345678901234567890.123456789012345678901234567890","000123","9999","10000","99999999","0.0001","0.00001","0.1234","0.00012340","10000000000000000","1e16", "- 1", "1 2", "e5", "."]
add("numeric", *nums)
for _ in range(300):
    i = R.randint(0, 10**R.randint(0, 40)); d = R.randint(0, 25)
    s = ("-" if R.random()<.5 else "") + str(i)
    if d: s += "." + "".join(R.choice("0123456789") for _ in range(d))
    if R.random() < .15: s += "e%d" % R.randint(-30, 30)
    add("numeric", s)
for t in ("numeric(5,2)", "numeric(10,0)", "numeric(3,5)", "numeric(4,-2)", "numeric(38,10)", "numeric(1)", "numeric(19,0)", "numeric(20,1)", "numeric(50,30)"):
    add(t, "0", "NaN", "Infinity", "1.005", "1.004999", "-1.005", "999.995", "999.994", "-999.995", "99999.5", "0.000005", "0.0099949", "0.009995", "12345", "12350", "12349", "1e20", "9.5", "9.4", "9223372036854775807.5", "123456789012345678.95")
    for _ in range(30): add(t, repr(R.uniform(-1,1)*10**R.randint(-6,12)))
texts = ["", " ", "a", "abc", "abcd", "ab  ", "ab   ", "äöü€", "𝄞x𝄞y", "a\\b", 'q"q', "{x}", "NULL", "a,b", "tab\tx", "line\nx", "'"]
for t in ("text", "varchar(3)", "char(3)", "bpchar", "varchar", "name", "unknown" if False else "text", '"char"'):
    add(t, *texts)
add("name", "x"*70, "ä"*40)
add("bytea", "", "abc", "\\x", "\\x00ff", "\\xDEadBEef", "\\x0", "\\xzz", "\\x0 1", "\\x00 01\n02", "a\\\\b", "\\001\\377", "\\400", "\\x0g", "\\1", "ä", "\\")
add("uuid", "12345678-9abc-def0-1234-56789abcdef0", "123456789ABCDEF0123456789abcdef0", "{12345678-9abc-def0-1234-56789abcdef0}", "1234-5678-9abc-def0-1234-5678-9abc-def0", "12345678-9abc-def0-1234-56789abcdef", "12345678-9abc-def0-1234-56789abcdefg", "", "{12345678-9abc-def0-1234-56789abcdef0", "12-345678-9abc-def0-1234-56789abcdef0", "12345678-9abc-def0-1234-56789abcdef0x", " 12345678-9abc-def0-1234-56789abcdef0")
js = ['{}','[]','null','true','1','1.50','-0','1e2','1E+2','1.5e-3','"a"','"\\u00e4"','"\\ud834\\udd1e"','"\\ud834"','"\\udd1e"','"\\u0000"','"\\n\\t\\b\\f\\r\\/\\\\\\""','{"b":1,"a":2}','{"aa":1,"b":2,"a":3}','{"a":1,"a":2}',' { "x" : [ 1 , 2 , {"y":null} ] } ','[1,2','{"a"}','{"a":}','{a:1}','[1,]','','  ','01','1.','.5','+1','tru','nulll','"x','[1] 2','{"a":1,}',"'a'",'"\\x"','"\\u12"','"ä€𝄞"','"\x01"','"\x7f"','{"":1}','1e400','[[[[]]]]','{"a":{"c":1,"b":[true,false]}}','-','-x','1x','"a" "b"', '{"k":1.0,"k":1.00}','123456789012345678901234567890.10', "\t1\n", "[1 2]", '{"a" 1}']
add("json", *js); add("jsonb", *js)
dates = ["2001-01-01","1999-12-31","2000-02-29","1900-02-29","2001-02-29","0001-01-01","0044-03-15 BC","4714-11-24 BC","4714-11-23 BC","5874897-12-31","5874898-01-01","infinity","-infinity","epoch","20010203","010203","990203","January 8, 1999","Jan 8 1999","8 Jan 1999","8-Jan-1999","1999-Jan-08","Jan-08-1999","08-Jan-99","1/8/1999","1/18/1999","01/02/03","1999/01/08","13/1/1999","2001-13-01","2001-1-1","2001-01-32","2001-00-10","2001-01-00","0000-01-01","","x","2001","2001-01","2001-01-01 12:00:00","2001-01-01T12:00:00Z","2001-01-01x","12:00"," 2001-01-01 ","99-01-08","10000-01-01","2001-01-01 BC","Mon Jan 08 1999","January 8, 99 BC","1999.01.08","2001-02-30","inf","2001-01-01 infinity"]
add("date", *dates)
for _ in range(200):
    add("date", "%04d-%02d-%02d" % (R.randint(1, 9999), R.randint(1, 12), R.randint(1, 31)))
times = ["00:00:00","24:00:00","24:00:01","23:59:59.999999","23:59:59.9999995","12:34","123456","1234","12:34:56.7","12:34:56.1234567","23:59:60","25:00:00","12:60:00","12:00:61","04:05 PM","04:05 AM","12:00 AM","12:00 PM","13:00 PM","4:5:6","04:05:06Z","04:05:06+02","04:05:06 -03:30","04:05:06+02:03:04","04:05:06 UTC","04:05:06 EST","2001-01-01 04:05:06","T040506","","x","allballs","04:05:06+16","04:05:06-15:59:59","04:05.5", "1:2:3:4", "04:05:06 America/New_York","2001-07-01 04:05:06 America/New_York","infinity"]
add("time", *[x for x in times if "America" not in x]); add("timetz", *times)
add("time(2)", "12:34:56.785", "12:34:56.784999", "23:59:59.999"); add("timetz(0)", "12:34:56.5+01", "23:59:59.6+01")
ts = ["2001-02-03 04:05:06","2001-02-03T04:05:06","2001-02-03 04:05:06.7","2001-02-03 04:05:06.123456","2001-02-03 04:05:06.1234567","2001-02-03 04:05:06.9999999","2001-02-03 04:05","2001-02-03","2001-02-03 04:05:06Z","2001-02-03T04:05:06.5Z","2001-02-03 04:05:06+02","2001-02-03 04:05:06 +02:30","2001-02-03 04:05:06-0330","2001-02-03 04:05:06 BC","2001-02-03 24:00:00","2001-02-03 25:00:00","2001-02-03 04:60:00","2001-02-03 04:05:60","infinity","-infinity","epoch","4714-11-24 00:00:00 BC","4714-11-23 23:59:59 BC","294247-01-01","2001-02-03 04:05:06 PST","2001-02-03 04:05:06 America/New_York","2001-07-03 04:05:06 America/New_York","2001-04-01 02:30:00 America/New_York","2001-10-28 01:30:00 America/New_York","2001-02-03 04:05:06 Nowhere/None","2001-02-03 04:05:06 foo","Feb 3 2001 04:05:06","Sat Feb 03 04:05:06 2001","Sat Feb 03 04:05:06 2001 UTC","20010203T040506","20010203 040506","2001-02-03 4:5:6","2001-02-03 04:05 PM","2/3/2001 04:05:06","","x","2001-02-03 x","2001-02-30 00:00:00","2001-02-03 04:05:06+16","2001-02-03 04:05:06 UTC","2001-02-03 040506","2001-02-03 04:05:06,7","1970-01-01 00:00:00+00","0001-01-01 00:00:00","99999-01-01 00:00:00","2001-02-03 04:05:06+02 BC","2001-02-03 04:05:06.","1999-01-08 04:05:06 -8:00","2001-2-3 4:05", "2000-12-31T23:59:59.999999-00:00","2000-01-01 00:00:00.0000005","2000-01-01T00:00:00+0000"]
add("timestamp", *ts); add("timestamptz", *ts)
for _ in range(200):
    s = "%04d-%02d-%02d %02d:%02d:%02d" % (R.randint(1, 9999), R.randint(1, 12), R.randint(1, 28), R.randint(0,23), R.randint(0,59), R.randint(0,59))
    if R.random()<.5: s += ".%0*d" % (R.randint(1,6), R.randint(0, 9))
    add("timestamp", s); add("timestamptz", s + R.choice(["", "Z", "+01", "-05:30", " UTC"]))
for t in ("timestamp(0)", "timestamp(3)", "timestamptz(1)"):
    add(t, "2001-02-03 04:05:06.5", "2001-02-03 04:05:06.4999", "1999-12-31 23:59:59.5", "1960-01-01 00:00:00.0005", "1960-01-01 00:00:00.25", "infinity", "2001-02-03 04:05:06.15")
iv = ["1 day","1 days 2 hours","1 year 2 mons 3 days 04:05:06","-1 year -2 mons +3 days -04:05:06.7","1-2 3 4:05:06","1-2","-1-2","3 4:05:06","4:05:06","04:05","-04:05:06","1.5 years","1.5 months","1.5 weeks","1.5 days","1.5 hours","1.5 minutes","1.5 seconds","1.5","5","-5","1 day ago","1 year 2 days ago","P1Y2M3DT4H5M6S","P1Y","PT1.5S","P1W","P1.5D","PT-1H","P-1Y2M","P","PT","1h30m","3days","1 month 1 month","@ 1 minute","1 decade","1 century","1 millennium","2 ms","3 us","1000000 usec","100 years 200 days","178000000 years","178956971 years","2147483647 months","2147483648 months","2147483648 days","","x","1 x","1 day x","day","1 2","1:2:3:4","90","00:00:00","0","1 mon -1 day","-1 days +02:03:04","1 day -00:00:01","100:00:00","1000:59:59.999999","0.1 months","0.33 years","1 week 2 days","2562047788:00:54","1 year 12 months","-1.5 months","1 hour 61 minutes","00:61:00","00:00:61","1 fortnight","infinity","1 day 5","5 1 day", "1.123456789 s", "0.0000005 s", "P1Y2M3D", "1 quarter", "-1 day 1 hour", "+1 day"]
add("interval", *iv)
for f in ("day","year","month","hour","minute","second","year to month","day to hour","day to minute","day to second","hour to minute","minute to second","second(2)"):
    add("interval " + f, "90", "1 year 2 mons 3 days 04:05:06.789", "1.5", "4:05", "1 2:03:04.567")
add("interval(2)", "1.235 s", "1.2349 s", "-1.235 s")
for _ in range(150):
    add("interval", "%d years %d mons %d days %d:%02d:%02d.%d" % (R.randint(-50,50),R.randint(-11,11),R.randint(-99,99),R.randint(-99,99),R.randint(0,59),R.randint(0,59),R.randint(0,999999)))
arr = ["{}","{1}","{1,2,3}","{ 1 , NULL , -3 }","{{1,2},{3,4}}","{{1,2},{3}}","{{1},2}","{1,{2}}","[1:2]={5,6}","{1,2","1,2","{1,,2}","{1,}","{,}","{x}","{1}x","","{null}","{\"1\",\"2\"}","{{}}","{{},{}}","{{{1}}}","{1 2}"]
add("int4[]", *arr); add("int8[]", "{9223372036854775807,NULL}", "{1.5}"); add("int2[]", "{1,2}")
add("text[]", "{}", "{a,b}", '{"a b",c d}', '{"a,b","{","}"}', '{NULL,"NULL",null}', '{""}', '{"a\\"b","a\\\\b"}', "{a\\,b}", "{ä€}", '{ab"c"}', '{"a"b}', "{  x  ,y}", "{{a,b},{c,NULL}}", '{"\n"}', "{a{b}", "{'a'}", '{\\null}')
add("numeric[]", "{1.50,NaN,-1e10}"); add("numeric(4,1)[]", "{1.25,-1.25,NULL}"); add("varchar(2)[]", "{abc,d}")
add("timestamp[]", '{"2001-02-03 04:05:06",infinity}'); add("date[]", "{2001-02-03}"); add("bool[]", "{t,f,NULL}"); add("float8[]", "{1.5,NaN,-Infinity}")
add("uuid[]", "{12345678-9abc-def0-1234-56789abcdef0}"); add("jsonb[]", '{"{\\"b\\":1, \\"a\\": 2}",null}'); add("bytea[]", '{"\\\\x00ff"}'); add("interval[]", '{"1 day 02:03:04"}')
add("int2vector", "1 2 3", "", "x"); add("oidvector", "1 2 3")

orders = {
 "numeric": ["NaN","Infinity","-Infinity","0","0.00","-0.1","1","1.0","1.00000000000000000000000000001","100","1e30","1e-30","-1e30","99","9.99","10","-10","-9.99","12345678901234567890","12345678901234567891","-12345678901234567890","0.1","0.10","0.01","1e5","99999.99999"],
 "float8": ["NaN","Infinity","-Infinity","0","-0","1e-300","-1e-300","1","2"],
 "interval": ["1 month","30 days","29 days","31 days","720:00:00","1 year","12 months","360 days","365 days","-1 day","-24:00:00","0","1 mon -30 days","00:00:01","-00:00:01"],
 "timetz": ["12:00+00","12:00+01","13:00+01","11:00-01","12:00-01","00:00+00","24:00+00"],
 "jsonb": ["null","true","false","1","1.0","2","-1","\"a\"","\"b\"","\"aa\"","\"\"","[]","{}","[1]","[2]","[1,2]","[[]]","[null]","[\"a\"]","{\"a\":1}","{\"b\":1}","{\"aa\":1}","{\"a\":2}","{\"a\":1,\"b\":2}","[{}]","[true]"],
 "bpchar": ["a","a ","b","","  ","ab","a  b"],
 "date": ["infinity","-infinity","2001-01-01","0044-03-15 BC"],
 "timestamp": ["infinity","-infinity","2001-01-01","0044-03-15 BC"],
 "int4[]": ["{}","{1}","{1,2}","{2}","{NULL}","{1,NULL}","{1,3}"],
 "text": ["","a","B","b","ä","aa","Z"],
 "bytea": ["","\\x00","\\x0000","\\x01","\\xff"],
 "uuid": ["12345678-9abc-def0-1234-56789abcdef0","00000000-0000-0000-0000-000000000000","ffffffff-ffff-ffff-ffff-ffffffffffff"],
}
def psql(sql):
    r = subprocess.run(["psql","-AtqX","-v","ON_ERROR_STOP=1"], input=sql, text=True, capture_output=True)
    if r.returncode: raise SystemExit(r.stderr)
    return r.stdout
f = io.StringIO(); w = csv.writer(f, quoting=csv.QUOTE_ALL, lineterminator="\n")
for i, (t, s) in enumerate(cases): w.writerow([i, t, s])
out = psql("""set timezone='UTC'; set bytea_output=hex;
create temp table c(id int, t text, s text);
create function pg_temp.try(t text, s text) returns json language plpgsql as $$
declare o text; b bytea; fn text; n text; begin
 execute format('select format(''%%s'', %L::%s), (select typsend::text from pg_type where oid = pg_typeof(%L::%s))', s, t, s, t) into o, fn;
 execute format('select %s(%L::%s)', fn, s, t) into b;
 return json_build_array(t, s, o, '', '', encode(b,'hex'));
exception when others then return json_build_array(t, s, null, sqlstate, sqlerrm, ''); end $$;
copy c from stdin csv;
"""+f.getvalue()+"\\.\nselect pg_temp.try(t,s) from c order by id;\n")
open("pg15_text.jsonl","w").write(out)
with open("pg15_order.jsonl","w") as g:
    for t, vs in orders.items():
        lit = ",".join("'" + v.replace("'", "''") + "'" for v in vs)
        r = psql(f"set timezone='UTC'; with v as (select x::text s, x::{t} v from unnest(array[{lit}]) x), r as (select s, dense_rank() over (order by v) k from v) select json_agg(a order by k) from (select k, json_agg(s order by s) a from r group by k) z;")
        g.write(json.dumps([t, json.loads(r)]) + "\n")
