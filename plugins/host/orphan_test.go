//go:build unix

package host

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/anonymous-media-library/aml/plugins/child"
	"github.com/anonymous-media-library/aml/plugins/confine"
)

// beHost starts a plugin in the folder dir, says its number, and stays.
func beHost(dir string) {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	c, err := child.Start(context.Background(), child.Config{
		ID: "tested", Launcher: []string{self, confine.Verb}, Sockets: dir,
		Spec: confine.Spec{Path: self, Args: []string{"be", "hangs in mid-call"}, Dir: dir, Memory: 1 << 30, Open: 256, FileSize: 1 << 20, Tasks: 256, Write: []string{dir}},
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(c.PID())
	select {}
}

func TestAPluginEndsWithAHostThatIsKilled(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "aml") // the path of a socket has to be short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	cmd := exec.Command(self, "host", dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("there is no way here to see whether a process lives")
	}
	stat := "/proc/" + strings.TrimSpace(line) + "/stat"
	if _, err := os.Stat(stat); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	eventually(t, "the plugin ends", func() bool {
		text, err := os.ReadFile(stat)
		return err != nil || strings.Contains(string(text), ") Z ") // gone, or waits for init to see it
	})
}
