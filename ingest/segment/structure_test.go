package segment_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"fernweh/ingest/segment"
)

// list is so many values between commas.
func list(n int, value string) string {
	return strings.TrimSuffix(strings.Repeat(value+",", n), ",")
}

// members is the members a..b of an object.
func members(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"p%d":1`, i)
	}
	return b.String()[min(1, b.Len()):]
}

// allocated is the memory that a function asks for, whatever of it is free again.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestStructureOfACallIsBounded goes one step below and above each bound, in
// every shape that structure can have; the calls beside are taken.
func TestStructureOfACallIsBounded(t *testing.T) {
	const own = 3 // members of the call itself, below
	call := func(properties string) string {
		return `{"anonymousId":"a","type":"page","properties":` + properties + `}`
	}
	nested := func(open, close string, n int) string {
		return strings.Repeat(open, n) + "1" + strings.Repeat(close, n)
	}
	for name, tt := range map[string]struct {
		call string
		says string // empty: taken
	}{
		"members":                 {call(`{` + members(segment.MaxMembers-own) + `}`), ""},
		"members above":           {call(`{` + members(segment.MaxMembers-own+1) + `}`), "4097 members and elements, at most 4096"},
		"elements":                {call(`{"x":[` + list(segment.MaxMembers-own-1, "1") + `]}`), ""},
		"elements above":          {call(`{"x":[` + list(segment.MaxMembers-own, "1") + `]}`), "4097 members"},
		"objects in a list":       {call(`{"x":[` + list(1364, `{ "a" : { } , "b" : 1 }`) + `]}`), ""},
		"objects in a list above": {call(`{"x":[` + list(1365, `{ "a" : [ ] , "b" : 1 }`) + `]}`), "4099 members"},
		"depth of arrays":         {call(`{"x":` + nested("[", "]", segment.MaxDepth-2) + `}`), ""},
		"depth of arrays above":   {call(`{"x":` + nested("[", "]", segment.MaxDepth-1) + `}`), "33 deep, at most 32"},
		"depth of objects":        {call(`{"x":` + nested(`{"o":`, "}", segment.MaxDepth-2) + `}`), ""},
		"depth of objects above":  {call(`{"x":` + nested(`{"o":`, "}", segment.MaxDepth-1) + `}`), "33 deep"},
		"brackets in text":        {call(`{"x":"` + strings.Repeat(`{[,\"`, segment.MaxMembers) + `"}`), ""},
		"a member in a name":      {call(`{"` + strings.Repeat(`,{`, segment.MaxMembers) + `":1}`), ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := items(t, `{"batch":[`+call("{}")+`,`+tt.call+`,`+call("{}")+`]}`,
				func(r *segment.Request) { r.MaxEvent = 1 << 18 })
			if got[0].Event == nil || got[2].Event == nil {
				t.Errorf("the calls beside it: %q and %q", got[0].Reason, got[2].Reason)
			}
			if (got[1].Event != nil) != (tt.says == "") || !strings.Contains(got[1].Reason, tt.says) {
				t.Errorf("reason %q, want one that says %q", got[1].Reason, tt.says)
			}
			alone := items(t, tt.call, func(r *segment.Request) { r.MaxEvent = 1 << 18 })
			if (alone[0].Event != nil) != (tt.says == "") {
				t.Errorf("as a request of its own: reason %q, want one that says %q", alone[0].Reason, tt.says)
			}
		})
	}
}

// TestWhatStandsAroundABatchIsBounded, or each of its calls would pay for it.
func TestWhatStandsAroundABatchIsBounded(t *testing.T) {
	const own = 2 // writeKey and context
	body := func(n int) string {
		return `{"context":{` + members(n) + `},"batch":[{"type":"page","anonymousId":"a"}],"writeKey":"WK"}`
	}
	b, err := segment.Parse([]byte(body(segment.MaxAround-own)), 10)
	if err != nil || b.Len() != 1 || b.WriteKey() != "WK" {
		t.Errorf("as much as is taken: %v, want one call with a key", err)
	}
	_, err = segment.Parse([]byte(body(segment.MaxAround-own+1)), 10)
	var structure *segment.StructureError
	if !errors.As(err, &structure) || !strings.Contains(err.Error(), "513 members around its calls, at most 512") {
		t.Errorf("one more: %v, want an error that names both numbers", err)
	}
}

// TestCallsBeyondTheMostAreOnlyCounted holds what a body of tiny calls makes of
// itself in memory to what may be taken of it.
func TestCallsBeyondTheMostAreOnlyCounted(t *testing.T) {
	body := []byte(`{"batch":[` + list(1<<20, "1") + `]}`)
	bytes := allocated(func() {
		parsed, err := segment.Parse(body, 1000)
		if err != nil || parsed.Len() != 1<<20 {
			t.Fatalf("%v, want 2^20 calls", err)
		}
	})
	if most := uint64(len(body)) + 100<<10; bytes > most {
		t.Errorf("a body of %d bytes allocates %d, want at most its text and 100 KiB", len(body), bytes)
	}
}

// TestContextAroundABatchIsReadOnce: a name of a megabyte in it is no work for
// each of a thousand calls.
func TestContextAroundABatchIsReadOnce(t *testing.T) {
	long := strings.Repeat(`\u0061`, 1<<17)
	b, err := segment.Parse([]byte(`{"messageId":"`+long+`","context":{"page":{"path":"`+long+`"},"locale":"de"},"batch":[`+
		list(1000, `{"type":"page","anonymousId":"a"}`)+`]}`), 1000)
	if err != nil {
		t.Fatal(err)
	}
	bytes := allocated(func() {
		got := b.Items(segment.Request{Received: received.UnixMicro(), MaxEvent: 1 << 18})
		if got[999].Event.Context.Locale != "de" {
			t.Fatalf("context %v, want the batch's", got[999].Event.Context)
		}
	})
	if bytes > 8<<20 {
		t.Errorf("mapping allocates %d bytes, want what 1,000 small events take and a few of the long name", bytes)
	}
}
