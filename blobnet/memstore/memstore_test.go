package memstore_test

import (
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/blobnet/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T, maxSize int64) blobnet.Store {
		return memstore.New(memstore.Config{MaxSize: maxSize})
	})
}
