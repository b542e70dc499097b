// Package http is the HTTP door: SQL over POST, the schema, subscriptions, health and metrics.
//
//	POST /v1/query {"sql": "...", "params": [...]}   rows as JSON
//	GET  /v1/schema                                  relations and their columns
//	GET  /v1/subscribe                               see connectors/websocket
//	/registry/...                                    see connectors/registry
//	POST /v1/append {"records": [...], "expect": [...]}  records of many topics, all or none, on conditions
//	GET  /v1/topics/{topic}/keys/{key}[/history]     a key's last record, its history; ?as_of=
//	GET  /v1/topics/{topic}/key-offsets?key=&partition=  where a key's records stand
//	GET  /v1/topics/{topic}?as_of=                   a cut over the partitions at one Position
//	GET  /v1/wait?position=                          until tables and views have reached a Position
//	POST /v1/backups {"repo": "file:///..."}         a backup, with its progress
//	GET  /healthz, /readyz, /metrics, /openapi.json
//
// Routes are declared with huma, which checks inputs and writes the OpenAPI description from the same types.
//
// The package deliberately knows no SQL: it drives a sql.Database as the PostgreSQL door does.
package http
