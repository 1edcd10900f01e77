package segment

import (
	"strconv"
	"strings"
)

// scaled reads a decimal number as a count of 10^-scale, rounded half away from
// zero, without passing through a float. ok is false for what is no number or
// doesn't fit.
func scaled(s string, scale int) (n int64, ok bool) {
	negative := strings.HasPrefix(s, "-")
	whole, fraction, exp, ok := decimal(strings.TrimPrefix(s, "-"))
	if !ok {
		return 0, false
	}
	digit := func(i int) byte { // of whole and fraction as one row; zeros behind it
		switch {
		case i < len(whole):
			return whole[i] - '0'
		case i < len(whole)+len(fraction):
			return fraction[i-len(whole)] - '0'
		}
		return 0
	}
	keep := len(whole) + exp + scale // digits before the unit's point
	for i := range keep {
		if i >= len(whole)+len(fraction) && n == 0 {
			break // zero, whatever its exponent
		}
		if n > maxScaled/10 {
			return 0, false
		}
		n = n*10 + int64(digit(i))
	}
	if keep >= 0 && digit(keep) >= 5 {
		n++
	}
	if negative {
		n = -n
	}
	return n, true
}

// maxScaled keeps every sum of some hundred thousand amounts within an int64.
const maxScaled = 1e13

// decimal takes apart an unsigned number as JSON writes it.
func decimal(s string) (whole, fraction string, exp int, ok bool) {
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		var err error
		if exp, err = strconv.Atoi(s[i+1:]); err != nil || exp < -400 || exp > 400 {
			return "", "", 0, false
		}
		s = s[:i]
	}
	whole, fraction, dotted := strings.Cut(s, ".")
	if !digits(whole) || dotted && !digits(fraction) {
		return "", "", 0, false
	}
	return whole, fraction, exp, true
}

// digits says whether s is one decimal digit or more.
func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
