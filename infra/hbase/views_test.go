package hbase_test

import (
	"testing"

	"fernweh/infra/infratest"
)

func TestViews(t *testing.T) {
	server(t)
	infratest.Views(t, func(t *testing.T) infratest.ViewStore { return views(t) })
}
