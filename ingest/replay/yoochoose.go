package replay

import (
	"fmt"
	"time"

	"fernweh/schemas"
)

// yoochoose is the layout that session-rec made of the RecSys Challenge 2015: a
// row is a click in a session. The set knows sessions and no visitors, so each
// session is a device. Of the offer it says the id alone.
func yoochoose() Format {
	return Format{
		Name:    "yoochoose-100k",
		About:   "clicks of a shop's sessions (RecSys Challenge 2015, session-rec's sample)",
		columns: []string{"SessionId", "ItemId", "Time"},
		comma:   '\t',
		open:    func(string) (tell, error) { return click, nil },
	}
}

// click is one row. The number of the row stands in the id with leading zeros,
// because of two events at one moment the one with the smaller id is first.
func click(r *row) []*schemas.Event {
	device := "yoochoose-" + r.id("SessionId")
	return []*schemas.Event{{
		Id:     fmt.Sprintf("%s-%08d", device, r.number),
		Device: device,
		Kind:   schemas.Kind_KIND_OFFER_VIEW,
		Time:   r.fixed("Time", 6, 0, time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()),
		Offer:  &schemas.Offer{Id: r.id("ItemId")},
	}}
}
