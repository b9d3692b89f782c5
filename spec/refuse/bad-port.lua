-- expect: bad-port.lua:2: a port is a number from 1 to 65535, not the number 65536
return policy "x" { network = { allow { "github.com", ports = { 443, 65536 } } } }
