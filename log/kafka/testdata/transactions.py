# librdkafka's transactions: transactions.py BOOTSTRAP TOPIC commits and aborts in turn, then prints what was committed.
import sys

from confluent_kafka import Consumer, Producer

bootstrap, topic = sys.argv[1:]
p = Producer({"bootstrap.servers": bootstrap, "transactional.id": "confluent", "transaction.timeout.ms": 300000})
p.init_transactions(60)
for i in range(6):
    p.begin_transaction()
    for j in range(10):
        p.produce(topic, f"{i}-{j}", partition=j % 2)
    p.flush(60)
    if i % 2 == 0:
        p.commit_transaction(60)
    else:
        p.abort_transaction(60)
c = Consumer({"bootstrap.servers": bootstrap, "group.id": "g", "auto.offset.reset": "earliest", "isolation.level": "read_committed",
              "enable.partition.eof": True, "enable.auto.commit": False})
c.subscribe([topic])
ends = 0
while ends < 2:
    m = c.poll(60)
    if m is None:
        sys.exit("nothing came")
    if m.error():
        ends += 1
    else:
        print(m.value().decode())
c.close()
