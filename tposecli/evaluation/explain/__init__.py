"""What attention maps are worth as explanations: how they differ, where they lie, and whether keypoints need it.

All maps are read at the keypoints that the net finds in the true boxes, without flip test. A map is a distribution
``m`` over the S cells of the attention grid (influence maps are divided by their sum). Logarithms are to base 2.

- **Entropy**, share of uniform: ``H(m) / log S`` with ``H(m) = -sum m log m``, mean of all keypoints and people. 1
  says that a keypoint attends everywhere alike.
- **Distinctness**, bits: the Jensen-Shannon divergence ``H((m + n) / 2) - (H(m) + H(n)) / 2`` (Lin, IEEE Trans.
  Information Theory 1991), mean of all pairs of a person's keypoints, and of people. 0 says that all keypoints have
  the same map, which hence explains none of them; 1 is the most.
- **Shares** of the attention in the person's box, within a tenth of the box's longer side of the keypoint, and within
  as much of its neighbours in the skeleton (without what is near the keypoint itself); mean of labelled keypoints.
  Chance is the share that a uniform map has there.
- **Deletion** (Petsiuk, Das and Saenko, "RISE", BMVC 2018, adapted to keypoints): the cells of the crop are greyed (the
  mean colour of ImageNet, which the net sees as 0), the most attended first, and the net runs again. **Movement** is
  the distance of the keypoint from where it was, in units of the box's longer side; **score** is the value of its
  heatmap where its peak was, over that peak. If the net needs what it attends to, movement rises and score falls early.
- **Insertion**, likewise: the crop begins blurred beyond recognition, and its cells appear, the most attended first.
  If they are enough, the score rises early.
- **Areas** under both curves of the score over the share of cells, from 0 to 1: small for deletion, large for
  insertion.
- **Deletion ratio**: the median movement with the 5 % most attended cells greyed, over the median movement with as many
  random cells of the box greyed; its interval is the 95 % bootstrap interval over people. For comparison stands the
  ratio of the cells nearest to the keypoint: much of what a net needs lies there, whatever it attends to.

Curves take keypoints that are labelled and whose peak is above 0.2, the authors' own limit. Chance is the same with
cells in random order, those in the box first: three orders a person, the same for all keypoints, layers and models.
"""
