package segment

import (
	"cmp"
	"net/url"
	"strings"

	"fernweh/schemas"
)

const maxTag = 64 // bytes of a locale, a time zone

// surroundings fills in where the visitor was: by the call's context, else by
// the batch's, else by the request.
func (m *mapper) surroundings(c *schemas.Context) {
	agent := m.contextOf(c, m.ctx)
	if m.around != nil {
		complete(c, m.around)
	}
	agent = cmp.Or(agent, m.agent, m.UserAgent)
	if agent != m.lastAgent {
		m.lastAgent, m.lastClass = agent, deviceClass(agent)
	}
	c.DeviceClass = m.lastClass
}

// contextOf fills in what c lacks, and returns the user agent.
func (m *mapper) contextOf(c *schemas.Context, ctx object) (agent string) {
	if f := ctx.peek("page"); f != nil {
		m.sub = m.sub[:0].fields(f.value)
		m.page(c, m.sub)
	}
	if f := ctx.peek("campaign"); f != nil {
		m.sub = m.sub[:0].fields(f.value)
		fill(&c.CampaignSource, takeText(m.sub, "source", maxID))
		fill(&c.CampaignMedium, takeText(m.sub, "medium", maxID))
		fill(&c.CampaignName, takeText(m.sub, "name", maxID))
		f.taken = !m.sub.untaken()
	}
	if f := ctx.peek("library"); f != nil {
		m.sub = m.sub[:0].fields(f.value)
		fill(&c.Library, library(takeText(m.sub, "name", maxTag), takeText(m.sub, "version", maxTag)))
	}
	fill(&c.Locale, takeText(ctx, "locale", maxTag))
	fill(&c.Timezone, takeText(ctx, "timezone", maxTag))
	return takeText(ctx, "userAgent", maxPath)
}

// complete fills in what c lacks from what stands around all calls.
func complete(c, around *schemas.Context) {
	fill(&c.Path, around.Path)
	fill(&c.Title, around.Title)
	fill(&c.Referrer, around.Referrer)
	fill(&c.CampaignSource, around.CampaignSource)
	fill(&c.CampaignMedium, around.CampaignMedium)
	fill(&c.CampaignName, around.CampaignName)
	fill(&c.Locale, around.Locale)
	fill(&c.Timezone, around.Timezone)
	fill(&c.Library, around.Library)
}

func library(name, version string) string {
	if name == "" || version == "" {
		return name
	}
	return name + "/" + version
}

// fill sets what is not set yet.
func fill(field *string, s string) {
	if *field == "" {
		*field = s
	}
}

// page takes what describes a page. Of its addresses only the path, the
// campaign and the referrer's host are kept: the rest may name a person.
func (m *mapper) page(c *schemas.Context, o object) {
	address, search := takeText(o, "url", 1<<16), takeText(o, "search", 1<<16)
	fill(&c.Path, clip(pathOf(takeText(o, "path", 1<<16)), maxPath))
	fill(&c.Path, clip(pathOf(address), maxPath))
	fill(&c.Title, takeText(o, "title", maxText))
	fill(&c.Referrer, clip(hostOf(takeText(o, "referrer", 1<<16)), maxID))
	if search == "" {
		_, search, _ = strings.Cut(address, "?")
	}
	campaign(c, search)
}

// pathOf is the path of an address, or of what stands behind a host.
func pathOf(address string) string {
	if _, rest, ok := strings.Cut(address, "://"); ok {
		i := strings.IndexAny(rest, "/?#")
		if i < 0 {
			return "/"
		}
		address = rest[i:]
	}
	if i := strings.IndexAny(address, "?#"); i >= 0 {
		address = address[:i]
	}
	return address
}

func hostOf(address string) string {
	if address == "" {
		return ""
	}
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return strings.ToValidUTF8(u.Hostname(), "\uFFFD")
}

// campaign takes the utm parameters of a query.
func campaign(c *schemas.Context, query string) {
	if !strings.Contains(query, "utm_") {
		return
	}
	query, _, _ = strings.Cut(strings.TrimPrefix(query, "?"), "#")
	values, _ := url.ParseQuery(query) // what doesn't parse is left out
	get := func(name string) string {
		return clip(strings.ToValidUTF8(values.Get(name), "\uFFFD"), maxID)
	}
	fill(&c.CampaignSource, get("utm_source"))
	fill(&c.CampaignMedium, get("utm_medium"))
	fill(&c.CampaignName, get("utm_campaign"))
}
