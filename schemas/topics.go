package schemas

// Topics of the log, as they are declared; a portal may have a prefix of its own
// in the place of fernweh.
const (
	TopicEvents      = "fernweh.events"       // every event, keyed by device; cut records
	TopicDeadLetters = "fernweh.dead-letters" // what could not be taken, with its reason
	TopicDecisions   = "fernweh.decisions"    // what speed made of the events, keyed by device
	TopicModels      = "fernweh.models"       // the published generation and its model, for other programs
)

// A Topic is what must stand on the broker before anything is written: its
// partitions and the settings that the promise of no loss needs.
type Topic struct {
	Name       string
	Partitions int32
	Config     map[string]string // Kafka's topic settings
	Was        map[string]string // settings that an earlier release declared; a topic that still has them is raised to Config
}

// Topics declares all topics for an event topic of the given number of
// partitions. That number is fixed for the topic's life: a device's partition,
// and so the order of its events, follows from it.
func Topics(partitions int32) []Topic {
	const (
		year = "31536000000" // milliseconds: longer than any lag, and than any archive outage
		week = "604800000"
	)
	return []Topic{
		{TopicEvents, partitions, durable(map[string]string{
			"cleanup.policy":         "delete",
			"retention.ms":           year,
			"retention.bytes":        "-1",
			"message.timestamp.type": "LogAppendTime", // the archive's day is a function of the log
		}), nil},
		{TopicDeadLetters, 1, durable(map[string]string{"cleanup.policy": "delete", "retention.ms": year}), nil},
		// Documents are made again from the decisions, as views are from the events: so they are kept as long.
		{TopicDecisions, partitions, durable(map[string]string{
			"cleanup.policy": "delete", "retention.ms": year, "retention.bytes": "-1",
		}), map[string]string{"retention.ms": week}},
		{TopicModels, 1, durable(map[string]string{"cleanup.policy": "compact"}), nil},
	}
}

// durable adds what no record may be acknowledged without.
func durable(config map[string]string) map[string]string {
	config["min.insync.replicas"] = "1"                // raised with the number of replicas
	config["unclean.leader.election.enable"] = "false" // a replica that missed something never leads
	config["max.message.bytes"] = "1048588"            // the largest batch of the program's producers, and Kafka's default
	return config
}
