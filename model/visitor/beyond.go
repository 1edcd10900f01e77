package visitor

import (
	"slices"

	"fernweh/schemas"
)

// Beyond is what is kept of the events of a device beyond its limits: counts,
// and what was booked. It belongs to the device and to none of its logins. It is
// a commutative monoid, as History is.
type Beyond struct {
	Counters Counters
	Money    []Money // ascending by currency: the first of all that there were
	Others   Money   // of the currencies after those, without a name
}

// currencies is how many currencies Beyond keeps apart.
const currencies = 64

// Events is their number.
func (b *Beyond) Events() uint64 { return b.Counters.events() }

func (b *Beyond) add(e *schemas.Event) {
	b.Counters.add(e)
	if x := moneyOf(e); x.Currency != "" {
		b.money(x)
	}
}

func (b *Beyond) merge(o *Beyond) {
	b.Counters.merge(&o.Counters)
	for _, x := range o.Money {
		b.money(x)
	}
	b.Others.merge(o.Others)
}

// money adds an amount. The currencies that keep a place of their own are the
// first ones of all, in any order of adding.
func (b *Beyond) money(x Money) {
	i, found := searchMoney(b.Money, x.Currency)
	if !found {
		if i == currencies {
			b.Others.merge(x)
			return
		}
		b.Money = slices.Insert(b.Money, i, Money{Currency: x.Currency})
	}
	b.Money[i].merge(x)
	if last := len(b.Money) - 1; last == currencies {
		b.Others.merge(b.Money[last])
		b.Money = b.Money[:last]
	}
}
