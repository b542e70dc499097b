package node

import (
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/miracledb/miracledb/log/kafka"
)

// kafkaMetrics brings the Kafka door's counts under the names that Kafka's operators know: those that the JMX exporter's rules
// for Kafka make of the broker's own, and those of kafka_exporter for partitions and groups.
type kafkaMetrics struct{ server *kafka.Server }

// desc describes a series of the given labels.
func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("kafka_"+name, help, labels, nil)
}

// topicSeries are counters by topic; the topic "" is all of them, as JMX has it.
var topicSeries = []struct {
	desc  *prometheus.Desc
	value func(*kafka.TopicCounts) int64
}{
	{desc("server_brokertopicmetrics_messagesin_total", "Records that clients have produced.", "topic"),
		func(c *kafka.TopicCounts) int64 { return c.MessagesIn }},
	{desc("server_brokertopicmetrics_bytesin_total", "Bytes of record batches that clients have produced.", "topic"),
		func(c *kafka.TopicCounts) int64 { return c.BytesIn }},
	{desc("server_brokertopicmetrics_bytesout_total", "Bytes of record batches that clients have fetched.", "topic"),
		func(c *kafka.TopicCounts) int64 { return c.BytesOut }},
	{desc("server_brokertopicmetrics_totalproducerequests_total", "Partitions of Produce requests.", "topic"),
		func(c *kafka.TopicCounts) int64 { return c.Produces }},
	{desc("server_brokertopicmetrics_failedproducerequests_total", "Partitions of Produce requests that were answered with an error.", "topic"),
		func(c *kafka.TopicCounts) int64 { return c.FailedProduces }},
	{desc("server_brokertopicmetrics_totalfetchrequests_total", "Partitions of Fetch requests.", "topic"),
		func(c *kafka.TopicCounts) int64 { return c.Fetches }},
	{desc("server_brokertopicmetrics_failedfetchrequests_total", "Partitions of Fetch requests that were answered with an error.", "topic"),
		func(c *kafka.TopicCounts) int64 { return c.FailedFetches }},
}

// serverSeries are gauges of the whole server. One node leads all partitions and is the only replica of each: none can be
// under-replicated or without a leader while it answers.
var serverSeries = []struct {
	desc  *prometheus.Desc
	value func(*kafka.Metrics) int
}{
	{desc("brokers", "Brokers of the cluster."), func(*kafka.Metrics) int { return 1 }},
	{desc("server_replicamanager_partitioncount", "Partitions."), func(m *kafka.Metrics) int { return m.NumPartitions }},
	{desc("server_replicamanager_leadercount", "Partitions that this node leads."), func(m *kafka.Metrics) int { return m.NumPartitions }},
	{desc("server_replicamanager_underreplicatedpartitions", "Partitions with replicas that are behind."), func(*kafka.Metrics) int { return 0 }},
	{desc("server_replicamanager_underminisrpartitioncount", "Partitions with fewer replicas in step than they need."), func(*kafka.Metrics) int { return 0 }},
	{desc("server_replicamanager_offlinereplicacount", "Replicas on volumes that have failed."), func(*kafka.Metrics) int { return 0 }},
	{desc("controller_kafkacontroller_activecontrollercount", "Whether this node is the controller."), func(*kafka.Metrics) int { return 1 }},
	{desc("controller_kafkacontroller_offlinepartitionscount", "Partitions without a leader."), func(*kafka.Metrics) int { return 0 }},
	{desc("controller_kafkacontroller_globaltopiccount", "Topics."), func(m *kafka.Metrics) int { return m.NumTopics }},
	{desc("controller_kafkacontroller_globalpartitioncount", "Partitions of all topics."), func(m *kafka.Metrics) int { return m.NumPartitions }},
	{desc("coordinator_group_groupmetadatamanager_numgroups", "Consumer groups."), func(m *kafka.Metrics) int { return m.NumGroups }},
}

var (
	requestsTotal = desc("network_requestmetrics_requests_total", "Requests that were answered.", "request", "version")
	requestTime   = desc("network_requestmetrics_totaltimems", "Milliseconds from when a request was read until its answer was sent, waits included.", "request")
	throttleTime  = desc("network_requestmetrics_throttletimems", "Milliseconds that clients were told not to send for, by quotas.", "request")

	connectionCount    = desc("server_socket_server_metrics_connection_count", "Open connections.", "listener")
	connectionsCreated = desc("server_socket_server_metrics_connection_creation_total", "Connections that were taken.", "listener")

	topicPartitions = desc("topic_partitions", "Partitions of a topic.", "topic")
	logSize         = desc("log_log_size", "Bytes of a partition's records on the disk.", "topic", "partition")
	logStart        = desc("log_log_logstartoffset", "The first offset that a partition keeps.", "topic", "partition")
	logEnd          = desc("log_log_logendoffset", "The offset after a partition's last durable record.", "topic", "partition")

	groupMembers = desc("consumergroup_members", "Members of a group.", "consumergroup")
	groupOffset  = desc("consumergroup_current_offset", "The offset that a group has committed.", "consumergroup", "topic", "partition")
	groupLag     = desc("consumergroup_lag", "Offsets of a partition from the one that a group has committed on.", "consumergroup", "topic", "partition")
	groupLagSum  = desc("consumergroup_lag_sum", "The lag of a group over all partitions of a topic.", "consumergroup", "topic")

	seriesLeftOut = prometheus.NewDesc("miracledb_kafka_series_left_out",
		"Partitions, groups and partitions of groups that /metrics does not show: there are too many, or their names are no text.", nil, nil)
)

// Describe: see prometheus.Collector.
func (k kafkaMetrics) Describe(to chan<- *prometheus.Desc) {
	for _, s := range topicSeries {
		to <- s.desc
	}
	for _, s := range serverSeries {
		to <- s.desc
	}
	for _, d := range []*prometheus.Desc{requestsTotal, requestTime, throttleTime, connectionCount, connectionsCreated, topicPartitions, logSize, logStart,
		logEnd, groupMembers, groupOffset, groupLag, groupLagSum, seriesLeftOut} {
		to <- d
	}
}

// Collect: see prometheus.Collector.
func (k kafkaMetrics) Collect(to chan<- prometheus.Metric) {
	m := k.server.Metrics()
	s := series{to}
	for _, one := range serverSeries {
		s.gauge(one.desc, int64(one.value(&m)))
	}
	m.All.Name = ""
	for _, counts := range append(m.Topics, m.All) {
		for _, one := range topicSeries {
			s.counter(one.desc, one.value(&counts), counts.Name)
		}
	}
	for i := range m.Requests {
		s.request(requestName(m.Requests[i].Name), &m.Requests[i])
	}
	for i, name := range [...]string{"PLAINTEXT", "SSL"} {
		s.gauge(connectionCount, m.Listeners[i].Open, name)
		s.counter(connectionsCreated, m.Listeners[i].Accepted, name)
	}
	s.partitions(m.Partitions)
	for i := range m.Groups {
		s.group(&m.Groups[i])
	}
	s.gauge(seriesLeftOut, int64(m.LeftOut))
}

// series sends values to who collects them.
type series struct{ to chan<- prometheus.Metric }

func (s series) gauge(d *prometheus.Desc, v int64, labels ...string) {
	s.to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
}

func (s series) counter(d *prometheus.Desc, v int64, labels ...string) {
	s.to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

// requestName is a key's name as Kafka writes it.
func requestName(kmsg string) string {
	return strings.NewReplacer("SASL", "Sasl", "ACL", "Acl", "SCRAM", "Scram", "ProducerID", "ProducerId").Replace(kmsg)
}

// request sends the counts of one key. Kafka counts fetches twice: as those of everybody and as those of consumers.
func (s series) request(name string, c *kafka.RequestCounts) {
	names := []string{name}
	if name == "Fetch" {
		names = append(names, "FetchConsumer")
	}
	for _, name := range names {
		for version, n := range c.Versions {
			if n > 0 {
				s.counter(requestsTotal, n, name, strconv.Itoa(version))
			}
		}
		count, buckets := uint64(0), make(map[float64]uint64, len(kafka.LatencyBounds))
		for i, bound := range kafka.LatencyBounds {
			count += uint64(c.Buckets[i])
			buckets[milliseconds(bound)] = count
		}
		count += uint64(c.Buckets[len(kafka.LatencyBounds)])
		s.to <- prometheus.MustNewConstHistogram(requestTime, count, milliseconds(c.Took), buckets, name)
		s.to <- prometheus.MustNewConstSummary(throttleTime, count, milliseconds(c.Throttled), nil, name)
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (s series) partitions(all []kafka.PartitionMetrics) {
	for i := range all {
		p := &all[i]
		partition := strconv.Itoa(int(p.Partition))
		s.gauge(logSize, p.Size, p.Topic, partition)
		s.gauge(logStart, p.Start, p.Topic, partition)
		s.gauge(logEnd, p.End, p.Topic, partition)
		if i+1 == len(all) || all[i+1].Topic != p.Topic {
			s.gauge(topicPartitions, int64(p.Partition)+1, p.Topic)
		}
	}
}

func (s series) group(g *kafka.GroupMetrics) {
	s.gauge(groupMembers, int64(g.Members), g.Name)
	sums := map[string]int64{}
	for _, o := range g.Offsets {
		partition := strconv.Itoa(int(o.Partition))
		s.gauge(groupOffset, o.Committed, g.Name, o.Topic, partition)
		s.gauge(groupLag, o.Lag, g.Name, o.Topic, partition)
		sums[o.Topic] += o.Lag
	}
	for topic, sum := range sums {
		s.gauge(groupLagSum, sum, g.Name, topic)
	}
}
