-- expect: pipeline-no-steps.lua:2: the pipeline has no steps
return pipeline "x" { policy = "offline" }
