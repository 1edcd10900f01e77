package schemas

// Topics of the log. The names are the same in every shape of running.
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
		{TopicEvents, partitions, map[string]string{
			"cleanup.policy":                 "delete",
			"retention.ms":                   year,
			"retention.bytes":                "-1",
			"min.insync.replicas":            "1", // raised with the replicas by the real broker's settings
			"unclean.leader.election.enable": "false",
			"message.timestamp.type":         "LogAppendTime", // the archive's day is a function of the log
		}},
		{TopicDeadLetters, 1, map[string]string{"cleanup.policy": "delete", "retention.ms": year}},
		{TopicDecisions, partitions, map[string]string{"cleanup.policy": "delete", "retention.ms": week}},
		{TopicModels, 1, map[string]string{"cleanup.policy": "compact"}},
	}
}
