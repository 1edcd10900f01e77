package segment

// leftover is the JSON object of all that no field of the event holds: the
// remaining properties, members of the call that the protocol doesn't name, and
// the remaining context under "context". Empty: nothing.
func (m *mapper) leftover() string {
	m.call.drop("writeKey", "receivedAt", "sentAt", "messageId", "type", "integrations", "_metadata",
		"traits") // of a person
	m.ctx.drop("page", "library", // held, as far as they may be
		"ip", "userAgent", "userAgentData", "traits", "device", "network", "location") // of a person
	b := append(m.rest[:0], '{')
	b = appendUntaken(b, m.props)
	m.nameLeft()
	for i := range m.call {
		f := &m.call[i]
		if !f.taken && (f.value == "null" || m.holds(f.name)) {
			f.taken = true
		}
	}
	b = appendUntaken(b, m.call)
	if m.ctx.untaken() && !m.holds("context") {
		b = append(comma(b), `"context":{`...)
		b = append(appendUntaken(b, m.ctx), '}')
	}
	m.rest = append(b, '}')
	if len(m.rest) == 2 {
		return ""
	}
	return string(m.rest)
}

// manyProperties is where looking through them for each name takes longer than a map.
const manyProperties = 64

// nameLeft lists the properties that are left, if they are many.
func (m *mapper) nameLeft() {
	clear(m.left)
	if len(m.props) <= manyProperties {
		return
	}
	if m.left == nil {
		m.left = map[string]bool{}
	}
	for i := range m.props {
		if !m.props[i].taken {
			m.left[m.props[i].name] = true
		}
	}
}

// holds says whether a property of that name is left.
func (m *mapper) holds(name string) bool {
	if len(m.props) > manyProperties {
		return m.left[name]
	}
	for i := range m.props {
		if !m.props[i].taken && m.props[i].name == name {
			return true
		}
	}
	return false
}

func appendUntaken(b []byte, o object) []byte {
	for i := range o {
		if f := &o[i]; !f.taken {
			b = append(comma(b), f.literal...)
			b = append(b, ':')
			b = append(b, f.value...)
		}
	}
	return b
}

// comma goes before every member but an object's first.
func comma(b []byte) []byte {
	if b[len(b)-1] == '{' {
		return b
	}
	return append(b, ',')
}
