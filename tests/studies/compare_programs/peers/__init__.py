"""Other programs, each a script for an interpreter that has it: a video in, COCO results and maybe a video out."""
