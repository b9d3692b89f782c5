-- expect: pipeline-do-of-the-library.lua:2: `do` takes a function that is written in this file, not one of the library
return pipeline "x" { step "a" { do = tostring } }
