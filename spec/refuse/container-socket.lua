-- expect: container-socket.lua:2: "/opt/docker.sock" is a control socket of the host; whoever reaches it owns the host
return policy "x" { files = { bind { "/opt/docker.sock", at = "/workspace/docker.sock" } } }
