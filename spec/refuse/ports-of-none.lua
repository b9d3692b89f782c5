-- expect: ports-of-none.lua:2: `ports` is empty, which would mean no port; leave it out for all ports
return policy "x" { network = { deny { "example.org", ports = {} } } }
