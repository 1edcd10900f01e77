package segment

import (
	"strings"

	"golang.org/x/text/currency"
)

// takeCurrency takes a currency of ISO 4217.
func takeCurrency(o object) string {
	unit := readCurrency(o)
	if unit != "" {
		o.peek("currency").taken = true
	}
	return unit
}

func readCurrency(o object) string {
	f := o.peek("currency")
	if f == nil {
		return ""
	}
	s, _ := f.value.text()
	if s = strings.ToUpper(s); isCurrency(s) {
		return s
	}
	f.unread = true
	return ""
}

// isCurrency says whether ISO 4217 lists a code, of today or of old: an order
// may be imported. What is no currency makes no number of its own: every code that
// is taken becomes a series of panes.
func isCurrency(code string) bool {
	switch code {
	case "XXX", "XTS": // no currency; for tests
		return false
	case "MRU", "SLE", "UYW", "VED", "VES", "XCG", "ZWG": // younger than the library's table, which is of 2017
		return true
	}
	_, err := currency.ParseISO(code)
	return err == nil
}

// minorDigits is the number of decimals of a currency by ISO 4217, two for most.
// The library's are CLDR's, which says of some how prices are commonly written.
func minorDigits(code string) int {
	switch code {
	case "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV",
		"XAF", "XOF", "XPF":
		return 0
	case "BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND":
		return 3
	case "CLF", "UYW":
		return 4
	}
	return 2
}
