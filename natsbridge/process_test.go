package natsbridge

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// asServer makes the test binary be a nats-server with that configuration, so
// that one can be killed.
const asServer = "AML_TEST_NATS_SERVER"

func TestMain(m *testing.M) {
	conf := os.Getenv(asServer)
	if conf == "" {
		os.Exit(m.Run())
	}
	opts, err := server.ProcessConfigFile(conf)
	if err == nil {
		opts.NoLog = true
		var s *server.Server
		if s, err = server.NewServer(opts); err == nil {
			s.Start()
			s.WaitForShutdown()
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// member is one server of a cluster, a process of its own.
type member struct {
	name, url string
	cmd       *exec.Cmd
}

type members []*member

// cluster runs three servers that share JetStream.
func cluster(t testing.TB) members {
	t.Helper()
	ports := freePorts(t, 6)
	var routes []string
	for _, p := range ports[:3] {
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", p))
	}
	var all members
	for i := range 3 {
		m := &member{name: fmt.Sprintf("s%d", i), url: fmt.Sprintf("nats://127.0.0.1:%d", ports[3+i])}
		dir := t.TempDir()
		conf := filepath.Join(dir, "conf")
		text := fmt.Sprintf(`server_name: %s
listen: "127.0.0.1:%d"
jetstream { store_dir: %q }
cluster { name: c, listen: "127.0.0.1:%d", routes: [%s] }
`, m.name, ports[3+i], dir, ports[i], strings.Join(routes, ", "))
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		m.cmd = exec.Command(os.Args[0])
		m.cmd.Env = append(os.Environ(), asServer+"="+conf)
		m.cmd.Stderr = os.Stderr
		if err := m.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(m.kill)
		all = append(all, m)
	}
	return all
}

// kill is SIGKILL.
func (m *member) kill() {
	_ = m.cmd.Process.Kill()
	_ = m.cmd.Wait()
}

func (all members) urls() (out []string) {
	for _, m := range all {
		out = append(out, m.url)
	}
	return out
}

// killLeader kills the server that leads a stream.
func (all members) killLeader(t testing.TB, stream string) {
	t.Helper()
	_, js := client(t, strings.Join(all.urls(), ","))
	killed := false
	until(t, "the stream has a leader", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		s, err := js.Stream(ctx, stream)
		if err != nil || s.CachedInfo().Cluster == nil {
			return false
		}
		for _, m := range all {
			if m.name == s.CachedInfo().Cluster.Leader {
				m.kill()
				killed = true
			}
		}
		return killed
	})
}
