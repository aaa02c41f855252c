'use strict';
for (const table of document.querySelectorAll('table.sortable')) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.firstElementChild.addEventListener('click', () => {
    const down = head.getAttribute('aria-sort') === 'ascending' || (column > 0 && !head.hasAttribute('aria-sort'));
    heads.forEach(other => other.removeAttribute('aria-sort'));
    head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
    const value = row => row.cells[column].textContent;
    const compare = (a, b) => {
      const [x, y] = [Number.parseFloat(value(a)), Number.parseFloat(value(b))];
      if (column === 0) return (down ? -1 : 1) * value(a).localeCompare(value(b));
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
      return down ? y - x : x - y;
    };
    table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
  }));
}
const dialog = document.getElementById('large');
for (const button of document.querySelectorAll('.zoom')) {
  button.addEventListener('click', () => {
    dialog.replaceChildren(button.querySelector('img').cloneNode());
    dialog.showModal();
  });
}
dialog.addEventListener('click', () => dialog.close());
