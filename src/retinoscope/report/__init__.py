"""The parts of a report, and how they are drawn and written; knows no particular study.

blocks      sections, figures, tables, columns, pictures
findings    conclusions, each derived from its paired test
rows        records of a summary by key, and the intervals in their columns
style       colours, markers, and figures as SVG
scene_picture   one image with its tokens, words or labels
page        all of it in one HTML file, CSV and SVG
files       writing, whole or not at all
"""
