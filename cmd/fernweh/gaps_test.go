package main

import (
	"fmt"
	"testing"

	"fernweh/infra/kafka"
)

func TestGaps(t *testing.T) {
	for text, want := range map[string]string{
		"": "[]", "3:100-104": "[{3 100 104}]", "0:0-1,7:5-9223372036854775807": "[{0 0 1} {7 5 9223372036854775807}]",
		"3": "", "3:100": "", "3:104-100": "", "3:100-100": "", "-1:1-2": "", "3:-1-2": "", "x:1-2": "", "3:1-2-3": "", "3:1-9223372036854775808": "",
	} {
		var got []kafka.Gap
		if err := gaps(&got).set(text); (err != nil) != (want == "") || err == nil && fmt.Sprint(got) != want {
			t.Errorf("%q: got %v, %v, want %s", text, got, err, want)
		}
	}
}
