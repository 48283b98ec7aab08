"""Training of priors: from pictures and a recipe to a flow, so that a run can be interrupted anywhere.

    recipe          what a run is, from a YAML file
    pictures, crops pictures in memory; what is drawn from them in a step
    objectives      what is minimised
    trainer, run    one step; a whole run with its log, validations and checkpoints
    outputs, log    the files
    ranks           several processes

Nothing here writes to the terminal; a callback is told of the progress.
"""
