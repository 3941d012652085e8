package node

import (
	"bytes"
	"crypto/rand"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
)

func TestANumberIsOfOneFolderOfOneHome(t *testing.T) {
	number := func(n *Node, folder string) []byte {
		res, err := n.Installation(t.Context(), InstallationRequest{Folder: folder}, nil)
		if err != nil || len(res.Number) != 16 {
			t.Fatalf("%x, %v", res.Number, err)
		}
		return res.Number
	}
	home := func() *Node {
		key, _, err := crypto.GenerateEd25519Key(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return &Node{identity: key}
	}
	one, other := home(), home()
	if !bytes.Equal(number(one, "/opt/app"), number(one, "/opt/app")) {
		t.Error("a folder has two numbers")
	}
	if bytes.Equal(number(one, "/opt/app"), number(one, "/opt/app2")) || bytes.Equal(number(one, "/opt/app"), number(other, "/opt/app")) {
		t.Error("two installations have one number")
	}
	if _, err := one.Installation(t.Context(), InstallationRequest{}, nil); err == nil {
		t.Error("no folder has a number")
	}
}
