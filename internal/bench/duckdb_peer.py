"""A DuckDB that answers one JSON request per line: {"sql": ...} -> {"seconds": ..., "rows": [[...]], "rss_mb": ...}."""
import json
import resource
import sys
import time

import duckdb

connection = duckdb.connect()
connection.execute("set threads=%d" % int(sys.argv[1]))
connection.execute("set enable_progress_bar=false")  # it would be printed among the answers
for line in sys.stdin:
    request = json.loads(line)
    answer = {}
    try:
        began = time.perf_counter()
        rows = connection.execute(request["sql"]).fetchall()
        answer["seconds"] = time.perf_counter() - began
        answer["rows"] = rows
    except Exception as fault:
        answer["error"] = str(fault)
    answer["rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(answer, default=str), flush=True)
