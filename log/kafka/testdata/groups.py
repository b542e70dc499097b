# Two members of one group in librdkafka: groups.py PROTOCOL ASSIGNOR BOOTSTRAP. PROTOCOL is classic or consumer. It prints what
# went wrong, or "ok".
import sys
import time

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

protocol, assignor, bootstrap = sys.argv[1:]
deadline = time.time() + 150
seen = {}
events = {}
admin = AdminClient({"bootstrap.servers": bootstrap})


def member(group, topics, name, instance=None):
    conf = {"bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False,
            "group.protocol": protocol, "topic.metadata.refresh.interval.ms": 500}
    if protocol == "consumer":
        conf["group.remote.assignor"] = assignor
    else:
        conf |= {"partition.assignment.strategy": assignor, "session.timeout.ms": 60000, "heartbeat.interval.ms": 100}
    if instance:
        conf["group.instance.id"] = instance
    c = Consumer(conf)
    events[name] = []
    c.subscribe(topics, on_assign=lambda _, ps: events[name].append(("assign", len(ps))),
                on_revoke=lambda _, ps: events[name].append(("revoke", len(ps))))
    return c


def has(c):
    return sorted((p.topic, p.partition) for p in c.assignment())


def wait(what, members, done):
    while not done():
        if time.time() > deadline:
            sys.exit(f"{protocol}: no {what}: {[has(c) for c in members]}, {events}")
        for c in members:
            m = c.poll(0.02)
            if m is not None and m.error() is None:
                seen[m.value()] = seen.get(m.value(), 0) + 1


def create(topic, partitions):
    admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(60)


def produce(topic, n, start):
    p = Producer({"bootstrap.servers": bootstrap})
    for i in range(start, start + n):
        p.produce(topic, f"{topic} {i}", key=f"k{i}")
    p.flush(60)


def counts(group, topic, *sizes, instances=(None, None)):
    a, b = [member(group, [topic], f"{group}{i}", instances[i]) for i in (0, 1)]
    wait(f"assignment of {sizes}", [a, b], lambda: tuple(sorted((len(has(a)), len(has(b))))) == sizes and not set(has(a)) & set(has(b)))
    return a, b


# Both read; new partitions reach them; one leaves, the other goes on where it had committed.
create("t", 4)
produce("t", 100, 0)
a, b = counts("g", "t", 2, 2)
wait("first records", [a, b], lambda: len(seen) == 100)
admin.create_partitions([NewPartitions("t", 6)])["t"].result(60)
wait("new partitions", [a, b], lambda: sorted((len(has(a)), len(has(b)))) == [3, 3])
produce("t", 100, 100)
wait("second records", [a, b], lambda: len(seen) == 200)
# librdkafka 2.16 forgets the timer of a search for the first offset that a rebalance interrupts, and reads the partition from its
# start again when that goes off, half a second later ("timed offset query for offset BEGINNING in state active").
lapsed = time.time() + 2
wait("end of such timers", [a, b], lambda: time.time() > lapsed)
for c in (a, b):
    try:
        c.commit(asynchronous=False)
    except Exception as e:
        if "NO_OFFSET" not in str(e):
            sys.exit(f"commit: {e}")
a.close()
seen.clear()
wait("takeover", [b], lambda: len(has(b)) == 6)
produce("t", 100, 200)
third = {f"t {i}".encode(): 1 for i in range(200, 300)}
wait("third records", [b], lambda: third.keys() <= seen.keys())
b.close()
if seen != third:
    sys.exit(f"seen again: { {v: n for v, n in seen.items() if third.get(v) != n} }")

# A static member goes and comes back: it has its partitions again, and the other hears nothing.
a, b = counts("static", "t", 3, 3, instances=("i0", "i1"))
before, heard = has(a), len(events["static1"])
a.close()
a = member("static", ["t"], "static0", "i0")
wait("return", [a, b], lambda: has(a) == before)
if len(events["static1"]) != heard:
    sys.exit(f"the other static member heard of it: {events['static1']}")
a.close()
b.close()

# A pattern takes in a topic that is made later.
create("late-1", 1)
c = member("pattern", ["^late-.*"], "pattern")
wait("match", [c], lambda: has(c) == [("late-1", 0)])
create("late-2", 1)
wait("later match", [c], lambda: has(c) == [("late-1", 0), ("late-2", 0)])
c.close()
print("ok")
