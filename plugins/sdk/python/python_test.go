package python

import (
	"os"
	"os/exec"
	"testing"
)

// What the SDK makes of an author's methods, without a host: exceptions that are answers,
// blobs that are asked about together, and one that is not there.
const script = `
import threading, types
import grpc
import aml_plugin as aml
from aml_plugin import pb

class Aborted(Exception):
    pass

class Context:
    def __init__(self, active=True):
        self.active, self.said = active, None
    def is_active(self):
        return self.active
    def abort(self, code, text):
        self.said = (code, text)
        raise Aborted

class Quota(grpc.RpcError):
    def code(self):
        return grpc.StatusCode.RESOURCE_EXHAUSTED

def broken(request, context):
    raise Quota("quota \udc80" + "x" * 1_000_000)

def breaking(request, context):
    yield 1
    raise Quota()

def ask(function, streams, context):
    try:
        answer = aml._said(function, streams)(None, context)
        return list(answer) if streams else answer
    except Aborted:
        return None

context = Context()
ask(broken, False, context)
code, text = context.said
assert code == grpc.StatusCode.UNKNOWN and text.startswith("quota ?") and len(text) <= aml.MAX_SAID, context.said
context = Context()
ask(breaking, True, context)
assert context.said == (grpc.StatusCode.UNKNOWN, "Quota"), context.said
assert ask(lambda request, context: [1, 2], True, Context()) == [1, 2]
try:
    ask(broken, False, Context(active=False))
    raise SystemExit("a call that nobody waits for is answered")
except Quota:
    pass

class Mirror(aml.Plugin):
    together = threading.Barrier(aml.BLOBS, timeout=90)

    def put(self, id, size, data): pass
    def has(self, id):
        self.together.wait()  # ends once so many ask at the same time
        return id[0] % 2 == 1
    def get(self, id):
        raise FileNotFoundError(id)
    def delete(self, id):
        if id[0] == 9:
            raise PermissionError(id)
        raise FileNotFoundError(id)

services = aml._Services(Mirror())
ids = [bytes([n]) for n in range(2 * aml.BLOBS)]
assert list(services.Has(pb.HasRequest(ids=ids), None).has) == [n % 2 == 1 for n in range(len(ids))]
assert list(services.Has(pb.HasRequest(), None).has) == []
assert list(services.Get(pb.GetRequest(id=b"x"), None)) == []
services.Delete(pb.DeleteRequest(ids=ids[:4]), None)
try:
    services.Delete(pb.DeleteRequest(ids=ids), None)
    raise SystemExit("an error of a delete is lost")
except PermissionError:
    pass

setup = aml.Setup(pb.ConfigureRequest(granted=[pb.CAPABILITY_NETWORK]))
assert setup.has("network") and not setup.has("keys") and setup.granted == {"network"}
`

func TestTheSDKMakesAnswersOfWhatMethodsDo(t *testing.T) {
	t.Parallel()
	const python = "/usr/bin/python3" // which plugins find
	if err := exec.Command(python, "-c", "import grpc, google.protobuf, cryptography").Run(); err != nil {
		t.Skipf("%s has not what plugins in Python need: %v", python, err)
	}
	cmd := exec.Command(python, "-B", "-c", script)
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
