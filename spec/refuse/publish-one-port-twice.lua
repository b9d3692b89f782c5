-- expect: publish-one-port-twice.lua:4: 127.0.0.1:9000 is published on at spec/refuse/publish-one-port-twice.lua:3 already
return policy "x" { network = {
  publish { 8080, on = "127.0.0.1:9000" },
  publish { 8081, on = "127.0.0.1:9000" },
} }
