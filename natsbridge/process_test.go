package natsbridge

import (
	"os"
	"testing"

	"github.com/anonymous-media-library/aml/internal/natslab"
)

func TestMain(m *testing.M) {
	natslab.Main()
	os.Exit(m.Run())
}

// killLeader kills the server that leads a stream.
func killLeader(t testing.TB, all natslab.Servers, stream string) {
	t.Helper()
	s, err := all.Leader(t.Context(), stream, patience)
	if err != nil {
		t.Fatal(err)
	}
	s.Kill()
}
