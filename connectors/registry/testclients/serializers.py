"""Produces with the serializers of confluent-kafka: serializers.py BOOTSTRAP REGISTRY. Topics: avro_table, avro_stream,
proto_table, json_table. Then each is consumed again with the matching deserializer."""
import datetime, decimal, sys, uuid
from confluent_kafka import Consumer, Producer
from confluent_kafka.schema_registry import SchemaRegistryClient, Schema, SchemaReference
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

brokers, url = sys.argv[1:]
registry = SchemaRegistryClient({'url': url})
producer = Producer({'bootstrap.servers': brokers})


def produce(topic, key, value, serializer, key_serializer=None):
    v = None if value is None else serializer(value, SerializationContext(topic, MessageField.VALUE))
    k = key if key_serializer is None else key_serializer(key, SerializationContext(topic, MessageField.KEY))
    producer.produce(topic, key=k, value=v, on_delivery=lambda e, _: e and sys.exit(str(e)))


# Avro: two versions of a writer, and a tombstone with an Avro key.
one = '''{"type": "record", "name": "Order", "fields": [{"name": "id", "type": "long"}, {"name": "who", "type": ["null", "string"]},
  {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}},
  {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}, {"name": "day", "type": {"type": "int", "logicalType": "date"}},
  {"name": "tags", "type": {"type": "array", "items": "string"}},
  {"name": "extra", "type": {"type": "map", "values": {"type": "record", "name": "E", "fields": [{"name": "n", "type": "int"}]}}},
  {"name": "kind", "type": {"type": "enum", "name": "K", "symbols": ["A", "B"]}}, {"name": "unknown", "type": {"type": "array", "items": "E"}}]}'''
two = one.replace('{"name": "kind"', '{"name": "note", "type": "string", "default": "none"}, {"name": "kind"')
key = AvroSerializer(registry, '"long"')
order = {'id': 1, 'who': 'ann', 'price': decimal.Decimal('12.50'), 'at': datetime.datetime(2001, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc),
         'day': datetime.date(2001, 2, 3), 'tags': ['x', 'y'], 'extra': {'a': {'n': 5}}, 'kind': 'B', 'unknown': [{'n': 1}]}
old, new = AvroSerializer(registry, one), AvroSerializer(registry, two)
for topic in 'avro_table', 'avro_stream':
    produce(topic, 1, order, old, key)
    produce(topic, 2, dict(order, id=2, who=None, note='new', tags=[]), new, key)
    produce(topic, 3, dict(order, id=3, price=decimal.Decimal('-0.01')), old, key)
produce('avro_table', 3, None, old, key)

# Protobuf, whose class is made of a descriptor: the second message of the file, nested.
f = descriptor_pb2.FileDescriptorProto(name='orders.proto', package='shop', syntax='proto3', dependency=['google/protobuf/timestamp.proto'])
f.message_type.add(name='Other').field.add(name='x', number=1, type=5, label=1)
outer = f.message_type.add(name='Outer')
m = outer.nested_type.add(name='Order')
for name, number, kind, label, type_name in [('id', 1, 3, 1, None), ('who', 2, 9, 1, None), ('count', 3, 13, 1, None), ('ratio', 4, 1, 1, None),
        ('at', 5, 11, 1, '.google.protobuf.Timestamp'), ('tags', 6, 9, 3, None), ('kind', 7, 14, 1, '.shop.Outer.Kind'),
        ('numbers', 8, 17, 3, None), ('parent', 9, 11, 1, '.shop.Outer.Order')]:
    m.field.add(name=name, number=number, type=kind, label=label, type_name=type_name)
k = outer.enum_type.add(name='Kind')
k.value.add(name='NONE', number=0)
k.value.add(name='BIG', number=1)
pool = descriptor_pool.DescriptorPool()
pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
pool.Add(f)
Order = message_factory.GetMessageClass(pool.FindMessageTypeByName('shop.Outer.Order'))
serialize = ProtobufSerializer(Order, registry, {'use.deprecated.format': False})
message = Order(id=1, who='ann', count=7, ratio=0.5, tags=['x', 'y'], kind=1, numbers=[-1, 300], parent=Order(id=9, parent=Order(who='root')))
message.at.seconds, message.at.nanos = 981173106, 500000000
produce('proto_table', None, message, serialize)
produce('proto_table', None, Order(id=2), serialize)

# JSON Schema.
json_schema = '''{"$schema": "http://json-schema.org/draft-07/schema#", "title": "Order", "type": "object",
  "properties": {"id": {"type": "integer"}, "who": {"type": "string"}, "price": {"type": "number"}}, "required": ["id"]}'''
produce('json_table', None, {'id': 1, 'who': 'ann', 'price': 1.5}, JSONSerializer(json_schema, registry))

if producer.flush(30):
    sys.exit('not everything was delivered')

# And back.
consumer = Consumer({'bootstrap.servers': brokers, 'group.id': str(uuid.uuid4()), 'auto.offset.reset': 'earliest'})
consumer.subscribe(['avro_stream', 'proto_table', 'json_table'])
read = {'avro_stream': AvroDeserializer(registry), 'proto_table': ProtobufDeserializer(Order, {'use.deprecated.format': False}, registry),
        'json_table': JSONDeserializer(json_schema, schema_registry_client=registry)}
seen = {}
while sum(map(len, seen.values())) < 6:
    r = consumer.poll(30)
    if r is None or r.error():
        sys.exit('consuming: %s' % (r and r.error()))
    seen.setdefault(r.topic(), []).append(read[r.topic()](r.value(), SerializationContext(r.topic(), MessageField.VALUE)))
consumer.close()
assert seen['avro_stream'][0]['price'] == decimal.Decimal('12.50') and seen['avro_stream'][1]['note'] == 'new', seen
assert seen['proto_table'][0] == message and seen['json_table'][0]['who'] == 'ann', seen

# The registry's client.
assert registry.get_subjects() == ['avro_stream-key', 'avro_stream-value', 'avro_table-key', 'avro_table-value', 'json_table-value', 'proto_table-value'], registry.get_subjects()
assert registry.get_versions('avro_table-value') == [1, 2]
latest = registry.get_latest_version('avro_table-value')
assert registry.get_schema(latest.schema_id).schema_type == 'AVRO' and latest.version == 2
assert registry.lookup_schema('avro_table-value', Schema(two, 'AVRO')).schema_id == latest.schema_id
assert not registry.test_compatibility('avro_table-value', Schema('"int"', 'AVRO'))
registry.set_compatibility('avro_table-value', 'NONE')
assert registry.get_compatibility('avro_table-value') == 'NONE'
assert registry.test_compatibility('avro_table-value', Schema('"int"', 'AVRO'))
registry.register_schema('base', Schema('{"type": "record", "name": "Base", "fields": []}', 'AVRO'))
registry.register_schema('user', Schema('{"type": "record", "name": "User", "fields": [{"name": "b", "type": "Base"}]}', 'AVRO', [SchemaReference('Base', 'base', 1)]))
assert registry.delete_version('user', 1) == 1
assert registry.delete_subject('base') == [1]
print('ok')
