package main

import (
	"fmt"
	"strconv"
	"strings"

	"fernweh/infra/kafka"
)

// gaps is a list of ranges of offsets, each of a partition; empty is none.
func gaps(to *[]kafka.Gap) kind {
	return kind{noun: "partition:from-to,...", set: func(s string) error {
		var all []kafka.Gap
		for _, part := range splitList(s) {
			partition, offsets, _ := strings.Cut(part, ":")
			from, till, _ := strings.Cut(offsets, "-")
			p, notP := strconv.ParseInt(partition, 10, 32)
			a, notA := strconv.ParseInt(from, 10, 64)
			b, notB := strconv.ParseInt(till, 10, 64)
			if notP != nil || notA != nil || notB != nil || p < 0 || a < 0 || b <= a {
				return fmt.Errorf("%q is not PARTITION:FROM-TO, with offsets from the first that is missing to the first that is there again, like 3:100-104", part)
			}
			all = append(all, kafka.Gap{Partition: int32(p), From: a, To: b})
		}
		*to = all
		return nil
	}}
}
